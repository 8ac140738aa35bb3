// argv -> exit code.
#include <exception>
#include <iostream>

#include "app/commands.hpp"

int main(int argc, char** argv) {
  try {
    const std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
    return sallyport::app::run_command_line(arguments, {std::cin, std::cout, std::cerr}, sallyport::app::run);
  } catch (const std::exception& error) {
    std::cerr << "sallyport: " << error.what() << '\n';
    return sallyport::app::kCouldNotStart;
  }
}
