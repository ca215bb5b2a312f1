#pragma once
/*
 * The demo application: bookinfo as people know it, one program with a role per service.
 * Ownership: none.       Threads: a role's main runs to its end on the calling thread.
 */
#include "base/str.h"

#include <stdint.h>

/* Each takes the arguments after the role's name, and returns the exit status. */
int service_main(const char *role, int argc, char **argv);
int load_main(int argc, char **argv);
