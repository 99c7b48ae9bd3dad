"""How long things take, in virtual seconds: times by distribution, and how compiled loops draw from them."""
