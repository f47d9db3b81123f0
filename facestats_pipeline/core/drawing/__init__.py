"""What every picture for people is drawn with: palette, lettering, figure style, contact sheets, previews."""
