"""FaceStats-Mini: a CLIP of under 6 million weights, trained on FairFace. Read in this order:

`data` (photos and labels) → `augment` (views) → `captions` → `tokenizer` → `encoders.mini_towers` (the network) → `imagenet` (what it
starts from) → `losses` → `muon` (the optimizer) → `crossfit` (soft labels) → `train` (the loop) → `evaluate` (every figure of the
model card) → `export` (what is shipped).
"""
