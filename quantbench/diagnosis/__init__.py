"""What backends share: asking frameworks, comparing answers, looks, and mixed precision."""
