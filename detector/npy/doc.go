// Package npy reads and writes NumPy array files (.npy) of anomaly maps and label masks.
//
// It writes float32 arrays in C order: one map [height, width], or the maps of a video [frames, height, width]. A file
// appears whole or not at all. It reads two-dimensional arrays row by row, in bounded memory unless they are in Fortran order,
// and refuses a file whose length does not match its header.
package npy
