"""How time, memory and files grow: with pixels, classes, images of a folder, batch, threads and clients.

curves      measured points, and the exponent of their growth
folders     a folder of many images, and label images, each in a process of its own
axes        what is measured along each axis
page        the plots
__main__    measures, prints and writes all of it
"""
