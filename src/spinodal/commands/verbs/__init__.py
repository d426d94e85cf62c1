"""The verbs as the command line shows them: options and help. What a verb does takes torch, which is imported as it runs."""
