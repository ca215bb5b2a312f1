/* sluice-shim: sluiced's shim as a program of its own, which maps libc alone. sluiced finds it beside itself, and does without. */
#include "runtime/shim.h"

int main(int argc, char **argv)
{
	return sl_shim_main(argc, argv);
}
