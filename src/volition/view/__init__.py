"""What a person looks at: terminal view, HTML report."""
