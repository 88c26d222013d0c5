"""Pages as a reader sees them: the report and the page of `avca serve`, in headless Chromium."""
