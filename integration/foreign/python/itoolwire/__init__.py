"""The wire of itool in Python: see ops/guide/wire.md, whose rules these modules follow one by one."""
