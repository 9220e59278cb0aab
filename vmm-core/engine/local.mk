# vmm-core/engine: files of this room
