/* Text as a mesh: what is accepted has been checked, and prints to what parses to the same. */
#include "model/mesh_json.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	SL_CLEANUP(sl_mesh_unref) struct sl_mesh *mesh = NULL, *again = NULL;
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	SL_CLEANUP(sl_buf_fini) struct sl_buf text = { 0 };

	if (sl_mesh_parse(&mesh, sl_str_n((const char *)bytes, size), &diag) != SL_OK) {
		if (!diag.count) /* a refusal without a reason helps nobody */
			abort();
		return 0;
	}
	sl_mesh_print(mesh, &text);
	if (sl_mesh_check(mesh, NULL) != SL_OK || sl_mesh_parse(&again, sl_buf_str(&text), NULL) != SL_OK ||
	        !sl_mesh_equal(mesh, again) || mesh->epoch != again->epoch)
		abort();
	return 0;
}
