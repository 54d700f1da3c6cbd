def text():
    return "of the neighbour\n"
