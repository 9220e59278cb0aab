# policy: files of this room
noinst_LIBRARIES += libpolicy.a
libpolicy_a_SOURCES = \
	policy/estimate.c \
	policy/estimate.h \
	policy/inputs.c \
	policy/inputs.def \
	policy/inputs.h \
	policy/names.c \
	policy/pilot.c \
	policy/pilot.h \
	policy/policy.c \
	policy/policy.h \
	policy/reasons.def \
	policy/record.h
POLICY_LIBS = libpolicy.a $(VMMCORE_LIBS)
