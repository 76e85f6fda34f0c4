"""An item of an annotation file with every kind of field, for the tests."""

ITEM = dict(
    img_id='x/a',
    img_path='a.jpg',
    captions=['one', 'two'],
    caption_ids=['x/a#0', 'x/a#1'],
    domain='x',
    lon=24.5,
    lat=60,
    geo_tags=['road of service'],
    label='port',
)
