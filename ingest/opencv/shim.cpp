#include "shim.h"

#include <cstring>
#include <string>

#include <opencv2/core/utils/logger.hpp>
#include <opencv2/videoio/registry.hpp>

extern "C" {
#include <libavutil/log.h>
}

char *oodcast_backends(void) {
	std::string names;
	try {
		for (cv::VideoCaptureAPIs api : cv::videoio_registry::getBackends()) {
			if (!names.empty()) names += ',';
			names += cv::videoio_registry::getBackendName(api);
		}
	} catch (...) { // an exception must not reach Go
	}
	return strdup(names.c_str());
}

void oodcast_silence(void) {
	cv::utils::logging::setLogLevel(cv::utils::logging::LOG_LEVEL_SILENT);
	av_log_set_level(AV_LOG_QUIET);
}
