/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WEB_GET_SCHEMAS_H
#define WEB_GET_SCHEMAS_H

#include "web/routes.h"

/* The list of all schemas, with the routes that they are for. */
void get_schemas(const struct request *request, struct reply *reply);
/* One of them. Its name is like "guest.json"; the suffix may be left out. */
void get_schema(const struct request *request, struct reply *reply);

#endif
