#include "app/config_files.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <fnmatch.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "app/config_reader.hpp"

namespace sallyport::app {
namespace {

// A descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int number) noexcept : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int number() const noexcept { return number_; }

 private:
  int number_;
};

Error system_error(int code) {
  const bool is_missing = code == ENOENT || code == ENOTDIR;
  return make_error(is_missing ? Fault::not_found : Fault::unavailable, is_missing ? "there is no such file" : std::strerror(code));
}

// Opens without waiting (a FIFO would hold the loader up for ever) and looks at what was opened, not at the name again.
Result<struct stat> open_regular(const Descriptor& file) {
  if (file.number() < 0) return system_error(errno);
  struct stat status{};
  if (::fstat(file.number(), &status) != 0) return system_error(errno);
  if (S_ISDIR(status.st_mode)) return make_error(Fault::unavailable, "this is a directory; expected a file");
  if (!S_ISREG(status.st_mode)) return make_error(Fault::unavailable, "this is no regular file");
  return status;
}

Descriptor open_file(const std::string& path) { return Descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)); }

// Whether strangers get at it, as a message; empty when not.
std::string exposure(const struct stat& status) {
  constexpr mode_t kForbidden = S_IWGRP | S_IRWXO;  // a group that reads is how services share a secret
  if ((status.st_mode & kForbidden) == 0) return {};
  return fmt::format("holds a secret, and its mode {:04o} opens it to {}; chmod 600 it", status.st_mode & 07777U,
                     (status.st_mode & S_IRWXO) != 0 ? "every user of this machine" : "changes by its group");
}

bool has_wildcard(std::string_view text) { return text.find_first_of("*?[") != std::string_view::npos; }

class PatternWalk {
 public:
  static constexpr std::size_t kEntriesMax = 10'000;

  // Collects the files below `at` that the components from `rest` on name.
  Result<void> walk(const std::filesystem::path& at, std::vector<std::string>::const_iterator rest,
                    std::vector<std::string>::const_iterator end) {
    std::error_code ignored;  // what cannot be looked at is not there
    if (rest == end) {
      if (std::filesystem::is_regular_file(at, ignored)) found_.push_back(at.lexically_normal().string());
      return {};
    }
    if (!has_wildcard(*rest)) return walk(at / *rest, rest + 1, end);
    for (const auto& entry : std::filesystem::directory_iterator(at.empty() ? "." : at, ignored)) {
      if (++entries_ > kEntriesMax)
        return make_error(Fault::too_large, fmt::format("the pattern looks at more than {} files", kEntriesMax));
      const std::string name = entry.path().filename().string();
      if (::fnmatch(rest->c_str(), name.c_str(), FNM_PERIOD) != 0) continue;
      if (auto below = walk(at / name, rest + 1, end); !below) return below.error();
    }
    return {};
  }

  std::vector<std::string> take() {
    std::sort(found_.begin(), found_.end());
    return std::move(found_);
  }

 private:
  std::vector<std::string> found_;
  std::size_t entries_ = 0;
};

}  // namespace

std::string resolve(const Source& source, std::string_view path) {
  return (std::filesystem::path(source.folder) / std::filesystem::path(path)).lexically_normal().string();
}

Result<std::string> read_regular_file(const std::string& path, std::size_t bytes_max) {
  const Descriptor file = open_file(path);
  const Result<struct stat> status = open_regular(file);
  if (!status) return status.error();
  std::string content;
  char piece[16 * 1024];
  for (;;) {
    const ssize_t size = ::read(file.number(), piece, sizeof piece);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return system_error(errno);
    if (size == 0) return content;
    content.append(piece, static_cast<std::size_t>(size));
    if (content.size() > bytes_max) return make_error(Fault::too_large, fmt::format("larger than {} KiB", bytes_max / 1024));
  }
}

std::string not_usable(const Node& node, const Error& error) {
  const bool may_be_elsewhere = error.fault == Fault::not_found && !node.text.starts_with('/');
  return fmt::format("the file {} cannot be used: {}{}", shown(node), error.detail,
                     may_be_elsewhere ? "; relative paths start at the folder of this file" : "");
}

std::optional<std::string> read_file_path(Problems& problems, const Node& node, FileSecrecy secrecy) {
  const std::optional<std::string> written = read_text(problems, node, "the path of a file");
  if (!written) return std::nullopt;
  std::string path = resolve(*node.at.source, *written);
  problems.was_read(path);
  const Descriptor file = open_file(path);
  const Result<struct stat> status = open_regular(file);
  if (!status) {
    problems.error(node.at, not_usable(node, status.error()));
    return std::nullopt;
  }
  if (status->st_size == 0) {
    problems.error(node.at, fmt::format("the file {} is empty", shown(node)));
    return std::nullopt;
  }
  const std::string exposed = secrecy == FileSecrecy::secret ? exposure(*status) : std::string();
  if (!exposed.empty()) {
    problems.error(node.at, fmt::format("the file {} {}", shown(node), exposed));
    return std::nullopt;
  }
  return path;
}

void check_is_closed(Problems& problems, const Node& node, const std::string& path) {
  const Descriptor file = open_file(path);
  const Result<struct stat> status = open_regular(file);
  if (!status) return problems.error(node.at, not_usable(node, status.error()));
  const std::string exposed = exposure(*status);
  if (!exposed.empty()) problems.error(node.at, fmt::format("the file {} {}", shown(node), exposed));
}

std::string days_of(int count) {
  if (count == 0) return "less than a day";
  return count == 1 ? "1 day" : fmt::format("{} days", count);
}

void check_certificate(Problems& problems, const Node& certificate, const Node& key, const transport::CertificateFiles& files) {
  constexpr int kSoonDays = 30;
  const Result<transport::SslContext> context = transport::make_tls_context(transport::TlsRole::server, transport::TlsVersion::v1_2);
  if (!context) return problems.error(certificate.at, context.error().detail);
  const Result<void> used = transport::use_certificate(context->get(), files);
  if (!used) {
    const Error& error = used.error();
    const bool names_key = files.key_file != files.certificate_file && error.detail.find(files.key_file) != std::string::npos &&
                           error.detail.find(files.certificate_file) == std::string::npos;
    return problems.error(names_key || error.fault == Fault::mismatch ? key.at : certificate.at, error.detail);
  }
  const X509* leaf = SSL_CTX_get0_certificate(context->get());
  int days = 0;
  int seconds = 0;
  if (leaf == nullptr || ASN1_TIME_diff(&days, &seconds, nullptr, X509_get0_notAfter(leaf)) != 1) {
    return problems.error(certificate.at, fmt::format("the certificate {} has no readable end of validity", shown(certificate)));
  }
  if (days < 0 || seconds < 0) {
    problems.error(certificate.at, fmt::format("the certificate {} expired {} ago", shown(certificate), days_of(-days)));
  } else if (days < kSoonDays) {
    problems.warning(certificate.at, fmt::format("the certificate {} expires in {}", shown(certificate), days_of(days)));
  }
  if (ASN1_TIME_diff(&days, &seconds, nullptr, X509_get0_notBefore(leaf)) == 1 && (days > 0 || seconds > 0)) {
    problems.error(certificate.at, fmt::format("the certificate {} is not valid yet", shown(certificate)));
  }
}

ReadPath folder_of_pattern(const std::string& pattern) {
  std::filesystem::path folder;
  for (const auto& component : std::filesystem::path(pattern)) {
    if (has_wildcard(component.string())) return {(folder.empty() ? std::string(".") : folder.string()) + "/", component.string()};
    folder /= component;
  }
  return pattern;
}

Result<std::vector<std::string>> expand_pattern(const Source& source, const std::string& pattern) {
  std::vector<std::string> components;
  for (const auto& component : std::filesystem::path(resolve(source, pattern))) components.push_back(component.string());
  PatternWalk walk;
  // What has no wildcard is given back as it is, so that opening it tells what is wrong with it.
  if (std::none_of(components.begin(), components.end(), [](const std::string& part) { return has_wildcard(part); })) {
    return std::vector<std::string>{resolve(source, pattern)};
  }
  if (auto walked = walk.walk({}, components.begin(), components.end()); !walked) return walked.error();
  std::vector<std::string> found = walk.take();
  if (found.empty()) return make_error(Fault::not_found, "no file fits this pattern");
  return found;
}

}  // namespace sallyport::app
