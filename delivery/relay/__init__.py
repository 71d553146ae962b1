"""Keys between sites that share no link, carried hop by hop over sites that are trusted with them."""
