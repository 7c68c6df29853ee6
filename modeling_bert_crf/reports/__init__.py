"""What a finished run says about itself: measurements, plots, card, HTML report. Does not travel with a model."""
