"""What people look at: terminal tables, Markdown, figures and the page, all made from records."""
