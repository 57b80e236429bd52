"""What somebody would take instead of us, and what can't be beaten; each as good as we can make it."""
