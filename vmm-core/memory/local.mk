# vmm-core/memory: files of this room
