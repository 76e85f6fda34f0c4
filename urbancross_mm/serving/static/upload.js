// Searching by an image: a button, dropping, or pasting.

import { byId } from './dom.js';

export class Upload {
  constructor({ onFile }) {
    byId('upload').addEventListener('click', () => byId('file').click());
    byId('file').addEventListener('change', (event) => {
      const [file] = event.target.files;
      event.target.value = ''; // the same file may be chosen again
      if (file) onFile(file);
    });
    const drop = byId('drop');
    const hasFile = (event) => [...(event.dataTransfer?.types ?? [])].includes('Files');
    document.addEventListener('dragenter', (event) => { if (hasFile(event)) drop.hidden = false; });
    drop.addEventListener('dragleave', () => { drop.hidden = true; });
    document.addEventListener('dragover', (event) => { if (hasFile(event)) event.preventDefault(); });
    document.addEventListener('drop', (event) => {
      if (!hasFile(event)) return;
      event.preventDefault();
      drop.hidden = true;
      if (event.dataTransfer.files[0]) onFile(event.dataTransfer.files[0]);
    });
    document.addEventListener('paste', (event) => {
      const [file] = event.clipboardData?.files ?? [];
      if (file) onFile(file);
    });
  }
}
