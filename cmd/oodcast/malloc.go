package main

/*
#include <stdlib.h>
#include <malloc.h>

#ifdef M_ARENA_MAX
// Limits the number of heaps before any thread starts. By default glibc creates up to eight heaps per core, one per thread,
// and they hardly shrink: memory that cameras and encoders have used on one thread stays there when Go continues on another.
__attribute__((constructor)) static void few_arenas(void) {
	if (getenv("MALLOC_ARENA_MAX") == NULL) mallopt(M_ARENA_MAX, 2);
}
#endif
*/
import "C"
