from condensery.cli import program

program()
