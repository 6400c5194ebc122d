#include "src/kvstore/checkpoint/gated_file_system.h"

namespace tidemark::kvstore {

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;

IOStatus GatedFileSystem::NewWritableFile(const std::string& path, const FileOptions& options,
                                          std::unique_ptr<rocksdb::FSWritableFile>* file,
                                          IODebugContext* debug) {
  IOStatus status = MayChange(path);
  if (status.ok()) status = target()->NewWritableFile(path, options, file, debug);
  if (status.ok()) Guard(path, file);
  return status;
}

IOStatus GatedFileSystem::ReopenWritableFile(const std::string& path, const FileOptions& options,
                                             std::unique_ptr<rocksdb::FSWritableFile>* file,
                                             IODebugContext* debug) {
  IOStatus status = MayChange(path);
  if (status.ok()) status = target()->ReopenWritableFile(path, options, file, debug);
  if (status.ok()) Guard(path, file);
  return status;
}

IOStatus GatedFileSystem::ReuseWritableFile(const std::string& path, const std::string& old_path,
                                            const FileOptions& options,
                                            std::unique_ptr<rocksdb::FSWritableFile>* file,
                                            IODebugContext* debug) {
  IOStatus status = MayChange(path);
  if (status.ok()) status = target()->ReuseWritableFile(path, old_path, options, file, debug);
  if (status.ok()) Guard(path, file);
  return status;
}

IOStatus GatedFileSystem::NewRandomRWFile(const std::string& path, const FileOptions& options,
                                          std::unique_ptr<rocksdb::FSRandomRWFile>* file,
                                          IODebugContext* debug) {
  IOStatus status = MayChange(path);
  return status.ok() ? target()->NewRandomRWFile(path, options, file, debug) : status;
}

IOStatus GatedFileSystem::NewMemoryMappedFileBuffer(
    const std::string& path, std::unique_ptr<rocksdb::MemoryMappedFileBuffer>* buffer) {
  IOStatus status = MayChange(path);
  return status.ok() ? target()->NewMemoryMappedFileBuffer(path, buffer) : status;
}

IOStatus GatedFileSystem::NewLogger(const std::string& path, const IOOptions& options,
                                    std::shared_ptr<rocksdb::Logger>* logger,
                                    IODebugContext* debug) {
  IOStatus status = MayChange(path);
  return status.ok() ? target()->NewLogger(path, options, logger, debug) : status;
}

// Opening one changes nothing; what is done with it may.
IOStatus GatedFileSystem::NewDirectory(const std::string& path, const IOOptions& options,
                                       std::unique_ptr<rocksdb::FSDirectory>* directory,
                                       IODebugContext* debug) {
  IOStatus status = target()->NewDirectory(path, options, directory, debug);
  if (status.ok()) Guard(path, directory);
  return status;
}

IOStatus GatedFileSystem::DeleteFile(const std::string& path, const IOOptions& options,
                                     IODebugContext* debug) {
  IOStatus status = MayChange(path);
  return status.ok() ? target()->DeleteFile(path, options, debug) : status;
}

IOStatus GatedFileSystem::DeleteDir(const std::string& path, const IOOptions& options,
                                    IODebugContext* debug) {
  IOStatus status = MayChange(path);
  return status.ok() ? target()->DeleteDir(path, options, debug) : status;
}

IOStatus GatedFileSystem::Truncate(const std::string& path, size_t size_bytes,
                                   const IOOptions& options, IODebugContext* debug) {
  IOStatus status = MayChange(path);
  return status.ok() ? target()->Truncate(path, size_bytes, options, debug) : status;
}

IOStatus GatedFileSystem::RenameFile(const std::string& from, const std::string& to,
                                     const IOOptions& options, IODebugContext* debug) {
  IOStatus status = MayChange(to);
  return status.ok() ? target()->RenameFile(from, to, options, debug) : status;
}

IOStatus GatedFileSystem::LinkFile(const std::string& from, const std::string& to,
                                   const IOOptions& options, IODebugContext* debug) {
  IOStatus status = MayChange(to);
  return status.ok() ? target()->LinkFile(from, to, options, debug) : status;
}

IOStatus GatedFileSystem::CreateDir(const std::string& path, const IOOptions& options,
                                    IODebugContext* debug) {
  IOStatus status = MayChange(path);
  return status.ok() ? target()->CreateDir(path, options, debug) : status;
}

IOStatus GatedFileSystem::CreateDirIfMissing(const std::string& path, const IOOptions& options,
                                             IODebugContext* debug) {
  IOStatus status = MayChange(path);
  return status.ok() ? target()->CreateDirIfMissing(path, options, debug) : status;
}

IOStatus GatedFileSystem::LockFile(const std::string& path, const IOOptions& options,
                                   rocksdb::FileLock** lock, IODebugContext* debug) {
  IOStatus status = MayChange(path);
  return status.ok() ? target()->LockFile(path, options, lock, debug) : status;
}

}  // namespace tidemark::kvstore
