// std::unique_ptr over what a C library gives back with a function of its own.
#pragma once

namespace sallyport {

template <auto kFree>
struct FreeWith {
  template <class T>
  void operator()(T* pointer) const noexcept {
    kFree(pointer);
  }
};

}  // namespace sallyport
