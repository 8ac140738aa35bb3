#include "base/precompiled.hpp"
