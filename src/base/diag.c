#include "base/diag.h"
#include "base/buf.h"

#include <stdarg.h>

void sl_diag_fini(struct sl_diag *d)
{
	sl_arena_fini(&d->arena);
	*d = (struct sl_diag) { 0 };
}

void sl_diag_add(struct sl_diag *d, const char *field, const char *reason, const char *fmt, ...)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf text = { 0 };
	struct sl_diag_item *item;
	va_list ap;

	if (!d)
		return;
	if (d->count >= SL_DIAG_MOST) {
		d->dropped++;
		return;
	}
	va_start(ap, fmt);
	sl_buf_vprintf(&text, fmt, ap);
	va_end(ap);
	item = sl_arena_zalloc(&d->arena, sizeof(*item));
	item->field = sl_arena_str_c(&d->arena, field);
	item->reason = sl_arena_str_c(&d->arena, reason);
	item->text = sl_arena_str(&d->arena, sl_buf_str(&text));
	if (d->last)
		d->last->next = item;
	else
		d->items = item;
	d->last = item;
	d->count++;
}

const char *sl_diag_text(struct sl_diag *d)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf all = { 0 };

	if (!d || !d->count)
		return "";
	for (const struct sl_diag_item *item = d->items; item; item = item->next) {
		if (item != d->items)
			sl_buf_c(&all, "; ");
		if (item->field.len)
			sl_buf_printf(&all, "%.*s: ", SL_STR_ARG(item->field));
		sl_buf_str_add(&all, item->text);
	}
	if (d->dropped)
		sl_buf_printf(&all, "; and %zu more", d->dropped);
	return sl_arena_str(&d->arena, sl_buf_str(&all)).p;
}
