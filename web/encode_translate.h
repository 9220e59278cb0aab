/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WEB_ENCODE_TRANSLATE_H
#define WEB_ENCODE_TRANSLATE_H

#include <jansson.h>

#include "umbra/translate.h"

/*
 * Where an address of the guest @id leads, in each mode or (@only not UMBRA_MODE_COUNT) in one.
 * NULL: out of memory.
 */
json_t *web_encode_translation(const char *id, const struct umbra_translation *translation,
			       enum umbra_mode only);

#endif
