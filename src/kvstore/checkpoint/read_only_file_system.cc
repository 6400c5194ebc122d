#include "src/kvstore/checkpoint/read_only_file_system.h"

namespace tidemark::kvstore {

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;

namespace {

IOStatus Refuse(const std::string& path) {
  return IOStatus::IOError("open for reading only", path);
}

}  // namespace

IOStatus ReadOnlyFileSystem::NewWritableFile(const std::string& path, const FileOptions&,
                                             std::unique_ptr<rocksdb::FSWritableFile>*,
                                             IODebugContext*) {
  return Refuse(path);
}

IOStatus ReadOnlyFileSystem::ReopenWritableFile(const std::string& path, const FileOptions&,
                                                std::unique_ptr<rocksdb::FSWritableFile>*,
                                                IODebugContext*) {
  return Refuse(path);
}

IOStatus ReadOnlyFileSystem::ReuseWritableFile(const std::string& path, const std::string&,
                                               const FileOptions&,
                                               std::unique_ptr<rocksdb::FSWritableFile>*,
                                               IODebugContext*) {
  return Refuse(path);
}

IOStatus ReadOnlyFileSystem::NewRandomRWFile(const std::string& path, const FileOptions&,
                                             std::unique_ptr<rocksdb::FSRandomRWFile>*,
                                             IODebugContext*) {
  return Refuse(path);
}

IOStatus ReadOnlyFileSystem::NewMemoryMappedFileBuffer(
    const std::string& path, std::unique_ptr<rocksdb::MemoryMappedFileBuffer>*) {
  return Refuse(path);
}

IOStatus ReadOnlyFileSystem::NewLogger(const std::string& path, const IOOptions&,
                                       std::shared_ptr<rocksdb::Logger>*, IODebugContext*) {
  return Refuse(path);
}

IOStatus ReadOnlyFileSystem::DeleteFile(const std::string& path, const IOOptions&,
                                        IODebugContext*) {
  return Refuse(path);
}

IOStatus ReadOnlyFileSystem::DeleteDir(const std::string& path, const IOOptions&, IODebugContext*) {
  return Refuse(path);
}

IOStatus ReadOnlyFileSystem::Truncate(const std::string& path, size_t, const IOOptions&,
                                      IODebugContext*) {
  return Refuse(path);
}

IOStatus ReadOnlyFileSystem::RenameFile(const std::string& from, const std::string&,
                                        const IOOptions&, IODebugContext*) {
  return Refuse(from);
}

IOStatus ReadOnlyFileSystem::LinkFile(const std::string& from, const std::string&, const IOOptions&,
                                      IODebugContext*) {
  return Refuse(from);
}

IOStatus ReadOnlyFileSystem::CreateDir(const std::string& path, const IOOptions&, IODebugContext*) {
  return Refuse(path);
}

IOStatus ReadOnlyFileSystem::CreateDirIfMissing(const std::string& path, const IOOptions&,
                                                IODebugContext*) {
  return Refuse(path);
}

IOStatus ReadOnlyFileSystem::LockFile(const std::string& path, const IOOptions&,
                                      rocksdb::FileLock**, IODebugContext*) {
  return Refuse(path);
}

}  // namespace tidemark::kvstore
