BAD = []
