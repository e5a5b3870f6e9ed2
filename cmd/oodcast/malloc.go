package main

/*
#include <stdlib.h>
#include <malloc.h>

#ifdef M_ARENA_MAX
// Before threads are there. glibc otherwise gives each thread a heap of its own, up to eight times the cores, and none ever
// shrinks much: what cameras and encoders used on one thread stays there when Go goes on with another.
__attribute__((constructor)) static void few_arenas(void) {
	if (getenv("MALLOC_ARENA_MAX") == NULL) mallopt(M_ARENA_MAX, 2);
}
#endif
*/
import "C"
