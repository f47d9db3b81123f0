"""The face detector that comes with FaceStats, and how it is made. Reading order: network, detect; labels, backgrounds, drawn, disturb,
data, targets, losses, train; crops; thresholds, export; training for all of it at once; evaluate for its figures beside YuNet's."""
