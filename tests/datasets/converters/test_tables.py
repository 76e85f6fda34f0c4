"""Tables are read to the last row, or refused with the line."""

from __future__ import annotations

import csv
import io
import random

import pytest

from urbancross_mm.datasets.converters.tables import Table, choose_columns

HEADER = 'image_name,description\n'
ROWS = ''.join(f'{name}.png,Plain text {name}.\n' for name in 'abcdefgh')


def table(tmp_path, content: str | bytes) -> Table:
    path = tmp_path / 'a.csv'
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Table(path)


def rows(tmp_path, content, names=()):
    return list(table(tmp_path, content).rows(names))


def test_a_good_table_is_read_as_the_standard_library_reads_it(tmp_path):
    draw = random.Random(0)
    cells = [
        '',
        'plain',
        'with, comma',
        'a "quoted" word',
        '12\' x 14"',
        'two\nlines, no row',
        'ü \u2028 x',
        'image a.jpg, and b.jpg',
        ' blanks ',
    ]
    content = [[draw.choice(cells) for _ in range(3)] for _ in range(200)]
    content = [row for row in content if any(row)]
    for ending in ('\n', '\r\n'):
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator=ending).writerows([['x', 'y', 'z'], *content])
        for mark in ('', '\ufeff', '\ufeffsep=,\n'):
            results = rows(tmp_path, mark + buffer.getvalue())
            assert [list(row.values()) for _, row in results] == content


def test_lines_are_those_of_the_file(tmp_path):
    content = 'sep=,\n' + HEADER + 'a.png,"one\ntwo"\n\nb.png,x\n'

    assert [line for line, _ in rows(tmp_path, content)] == [3, 6]


@pytest.mark.parametrize('where', range(8))
@pytest.mark.parametrize('closed', ['end', 'later', 'quoted', 'own line'])
def test_a_quote_that_is_not_closed_names_its_line(tmp_path, where, closed):
    lines = ROWS.splitlines(keepends=True)
    lines[where] = lines[where].replace(',', ',"')
    if closed == 'later':  # by an inch mark
        lines.append('i.png,A pipe of 12" here.\n')
    elif closed == 'quoted':
        lines.append('i.png,"A ""good"" text"\n')
    elif closed == 'own line':
        lines.append('i.png,text"\n')

    with pytest.raises(ValueError, match=rf'a\.csv, line {where + 2}'):
        rows(tmp_path, HEADER + ''.join(lines))


@pytest.mark.parametrize(
    'content',
    [
        'name,text\nx1,"One\nx2,Two\nx3,Three"\nx4,Four\n',
        'text,name\n"One,x1\nTwo,x2\n",x3\nFour,x4\n',
    ],
)
def test_rows_within_a_cell_are_seen_by_known_names(tmp_path, content):
    with pytest.raises(
        ValueError,
        match=r"line 2: '(text)' .*'.*"
        r'x2',
    ):
        rows(tmp_path, content, {'x1', 'x2'})
    assert len(rows(tmp_path, content)) == 2


def test_rows_within_a_cell_are_seen_by_the_look_of_an_image_name(tmp_path):
    for header, row in (
        (HEADER, 'a.png,"One\nsub/b_2.JPG,Two"\n'),
        ('description,image_name\n', '"One,a.png\nTwo,b.tif\nThree",c.png\n'),
    ):
        with pytest.raises(ValueError, match='line 2: '):
            rows(tmp_path, header + row)
    assert len(rows(tmp_path, HEADER + 'a.png,"One, see\nb.png and c.png, or d"\n')) == 1


@pytest.mark.parametrize('row, cells', [('b.png', 1), ('b.png,one,two', 3), ('b.png,one,,two', 4)])
def test_a_row_of_another_width_is_refused(tmp_path, row, cells):
    with pytest.raises(ValueError, match=rf'a\.csv, line 3: {cells} cells.*\b2\b'):
        rows(tmp_path, HEADER + 'a.png,one\n' + row + '\nc.png,three\n')


@pytest.mark.parametrize(
    'content, message',
    [
        ('', 'is empty'),
        ('\ufeff', 'is empty'),
        ('\n', 'is empty'),
        ('image_name;description\na;b\n', 'is separated by semicolons'),
        ('image_name\tdescription\na\tb\n', 'is separated by tabs'),
        ('sep=;\nimage_name;description\n', 'is separated by semicolons'),
        ('sep=\t\nimage_name\tdescription\n', 'is separated by tabs'),
        ('a,b\n1,\0\n', 'line 2: holds a NUL'),
        ('image_name,description\na,caf\u00e9\n'.encode('latin-1'), 'line 2: not UTF-8'),
        ('image_name,description\n'.encode('utf-16'), 'is UTF-16 text'),
    ],
)
def test_what_is_no_such_table(tmp_path, content, message):
    with pytest.raises(ValueError, match=rf'a\.csv.* ?{message}'):
        table(tmp_path, content)


@pytest.mark.parametrize(
    'odd', ['a.png,one,\nb.png,two,,\n', 'a.png,one\n,\n   \nb.png,two\n,,,\n']
)
def test_empty_cells_beyond_the_header_and_empty_rows_are_nothing(tmp_path, odd):
    assert [row for _, row in rows(tmp_path, HEADER + odd)] == [
        dict(image_name='a.png', description='one'),
        dict(image_name='b.png', description='two'),
    ]


@pytest.mark.parametrize('quote', ['', '"'])
def test_a_cell_may_be_long(tmp_path, quote):
    long = 'road ' * 40_000
    ((_, row),) = rows(tmp_path, f'{HEADER}a.png,{quote}{long}{quote}\n')
    assert row['description'] == long


def test_a_column_that_comes_twice_is_refused_where_it_is_read(tmp_path):
    twice = table(tmp_path, 'a,b,x,x\n1,2,3,4\n')

    twice.check_once(['a', 'b', 'c'])
    with pytest.raises(ValueError, match=r"a\.csv .*'x'"):
        twice.check_once(['a', 'x'])


def test_columns_are_known_or_chosen(tmp_path):
    pairs = (('image_name', 'description'), ('filepath', 'title'))
    sky = table(tmp_path, 'filepath,title,other\n')
    assert choose_columns(sky, pairs, None, None) == ('filepath', 'title')
    assert choose_columns(sky, pairs, None, 'other') == ('filepath', 'other')
    assert choose_columns(sky, pairs, 'title', 'other') == ('title', 'other')
    with pytest.raises(ValueError, match='nothing.*filepath, title, other'):
        choose_columns(sky, pairs, 'filepath', 'nothing')
