# Every dataset that configs know by name: one line each. A line makes it a TARGET of adapt.py and a
# DATASET of own_dataset.py. Its annotation files are annotations/<name>_{train,val,test}.json.
domains = dict(
    finland='data/urbancross/Finland',
    germany='data/urbancross/Germany',
    spain='data/urbancross/Spain',
    rsicd='data/rsicd',
    rsitmd='data/rsitmd',
    ucm='data/ucm',
    mycountry='data/mycountry',  # what tools/curate.py makes of your tiles (docs/how-to/curate.md)
)
# Images without captions, and captions in annotations/<name>_texts.txt (docs/how-to/adapt.md).
uncaptioned = dict(mycity='data/mycity')
# Images with class maps and without captions (docs/how-to/segmentation.md).
masked = dict(dronedeploy='data/dronedeploy')
