"""What a loss does with a model, read from the user's own call: outputs, labels, the number of samples."""
