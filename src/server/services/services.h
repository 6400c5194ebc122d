// All gRPC methods of the client port.
//
// Each function adds one service's methods; they keep a reference to the context.
#pragma once

#include <functional>
#include <vector>

#include "src/server/rpc.h"
#include "src/server/services/service_context.h"

namespace tidemark::server {

void AddKvService(ServiceContext& context, std::vector<Method>& methods);
void AddWatchService(ServiceContext& context, std::vector<Method>& methods);
void AddLeaseService(ServiceContext& context, std::vector<Method>& methods);
void AddClusterService(ServiceContext& context, std::vector<Method>& methods);
void AddMaintenanceService(ServiceContext& context, std::vector<Method>& methods);
void AddAuthService(ServiceContext& context, std::vector<Method>& methods);
void AddHealthService(ServiceContext& context, std::vector<Method>& methods);
// Known to etcd, not built yet: UNIMPLEMENTED with a clear text.
void AddUnimplemented(std::vector<Method>& methods);

std::vector<Method> AllMethods(ServiceContext& context);

}  // namespace tidemark::server
