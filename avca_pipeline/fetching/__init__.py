"""Gets files from elsewhere: the web, YouTube, archives; pretrained weights among them."""
