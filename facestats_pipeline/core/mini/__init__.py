"""FaceStats-Mini: a CLIP of under 6 million weights, trained on FairFace from nothing. Read in this order:

`data` (photos and labels) → `augment` (views) → `captions` → `tokenizer` → `towers` (the network) → `losses` → `muon` (the
optimizer) → `train` (the loop) → `evaluate` (every figure of the model card) → `export` (what is shipped).
"""
