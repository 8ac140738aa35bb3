// This executable counts what it allocates.
#include "unit/observe/allocations.cpp"
