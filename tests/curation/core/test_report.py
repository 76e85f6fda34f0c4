"""What a stage says of its images."""

from collections import Counter

from urbancross_mm.curation.core.report import Report, group_reasons


def test_reasons_that_differ_in_names_and_numbers_are_one() -> None:
    result = Counter({('failed', f'a/b{n}.PNG cannot be decoded at {n}.5'): 1 for n in range(9)})
    result['dropped', 'shorter than 16 px'] = 2
    assert group_reasons(result) == {
        ('failed', '… cannot be decoded at …'): 9,
        ('dropped', 'shorter than 16 px'): 2,
    }


def test_what_is_not_shown_is_counted() -> None:
    reasons = Counter(
        {('dropped', f'reason {letter}'): 20 - n for n, letter in enumerate('abcdefg')}
    )
    text = str(Report('tag', 200, 3, Counter(kept=81, dropped=119), reasons, ('A remark.',)))
    assert text.splitlines()[0] == 'tag: 200 in, 81 kept, 119 dropped (3 made now)'
    assert '16 dropped: reason e' in text and 'reason f' not in text
    assert text.splitlines()[-2:] == ['    and 29 others', '    A remark.']
