#include "authenticate/session_settings.hpp"

#include <algorithm>

namespace sallyport::authenticate {

std::chrono::milliseconds SessionSettings::touch_interval() const noexcept {
  return std::min<std::chrono::milliseconds>(std::chrono::minutes(1), idle_timeout / 10);
}

}  // namespace sallyport::authenticate
