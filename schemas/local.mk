# schemas: the outward names. The JSON Schemas are made from the tables by a program of the build.
noinst_LIBRARIES += libschemas.a
libschemas_a_SOURCES = \
	schemas/manual.c \
	schemas/manual.h \
	schemas/metrics.c \
	schemas/metrics.def \
	schemas/metrics.h \
	schemas/names.c \
	schemas/names.h \
	schemas/schema.c \
	schemas/schema.h \
	schemas/types.c \
	schemas/types.h
libschemas_a_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
SCHEMAS_LIBS = libschemas.a $(POLICY_LIBS) $(JANSSON_LIBS)

noinst_PROGRAMS += schemas/generate
schemas_generate_SOURCES = schemas/generate.c
schemas_generate_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
schemas_generate_LDADD = $(SCHEMAS_LIBS)

SCHEMAS_JSON = \
	schemas/advice.json \
	schemas/collectors.json \
	schemas/decision.json \
	schemas/decisions.json \
	schemas/guest.json \
	schemas/guests.json \
	schemas/host.json \
	schemas/host_request.json \
	schemas/mode.json \
	schemas/mode_request.json \
	schemas/problem.json \
	schemas/schemas.json \
	schemas/switch.json \
	schemas/translation.json
schemasdir = $(pkgdatadir)/schemas
nodist_schemas_DATA = $(SCHEMAS_JSON)
CLEANFILES += $(SCHEMAS_JSON) schemas/made.stamp

# One run makes them all.
$(SCHEMAS_JSON): schemas/made.stamp
schemas/made.stamp: schemas/generate$(EXEEXT)
	$(AM_V_GEN)schemas/generate$(EXEEXT) --schemas schemas && touch $@

nodist_man_MANS = packaging/man/umbra-metrics.7
CLEANFILES += $(nodist_man_MANS)
packaging/man/umbra-metrics.7: schemas/generate$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) $(@D) && schemas/generate$(EXEEXT) --manual $@
