// A camera and a consumer over Fast DDS, as rmw_fastrtps is one. It takes and prints what cyclone_peer.c does.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <fastdds/dds/domain/DomainParticipant.hpp>
#include <fastdds/dds/domain/DomainParticipantFactory.hpp>
#include <fastdds/dds/publisher/DataWriter.hpp>
#include <fastdds/dds/publisher/Publisher.hpp>
#include <fastdds/dds/subscriber/DataReader.hpp>
#include <fastdds/dds/subscriber/SampleInfo.hpp>
#include <fastdds/dds/subscriber/Subscriber.hpp>
#include <fastdds/dds/topic/TopicDataType.hpp>
#include <fastdds/dds/topic/TypeSupport.hpp>
#include <fastdds/rtps/transport/UDPv4TransportDescriptor.h>

using namespace eprosima::fastdds::dds;
using eprosima::fastrtps::types::ReturnCode_t;
using Octets = std::vector<uint8_t>;

// Samples are CDR with its encapsulation: packed and unpacked below, field by field.
class Serialized : public TopicDataType
{
public:
  Serialized(const char *name, uint32_t most)
  {
    setName(name);
    m_typeSize = most;
    m_isGetKeyDefined = false;
  }
  bool serialize(void *data, eprosima::fastrtps::rtps::SerializedPayload_t *payload) override
  {
    auto *octets = static_cast<Octets *>(data);
    payload->encapsulation = CDR_LE;
    payload->length = static_cast<uint32_t>(octets->size());
    std::memcpy(payload->data, octets->data(), octets->size());
    return true;
  }
  bool deserialize(eprosima::fastrtps::rtps::SerializedPayload_t *payload, void *data) override
  {
    static_cast<Octets *>(data)->assign(payload->data, payload->data + payload->length);
    return true;
  }
  std::function<uint32_t()> getSerializedSizeProvider(void *data) override
  {
    return [data]() { return static_cast<uint32_t>(static_cast<Octets *>(data)->size()); };
  }
  void *createData() override { return new Octets; }
  void deleteData(void *data) override { delete static_cast<Octets *>(data); }
  bool getKey(void *, eprosima::fastrtps::rtps::InstanceHandle_t *, bool) override { return false; }
};

struct Packer
{
  Octets octets{0, 1, 0, 0};
  void number(uint32_t value, size_t width)
  {
    while ((octets.size() - 4) % width)
      octets.push_back(0);
    for (size_t i = 0; i < width; i++)
      octets.push_back(static_cast<uint8_t>(value >> (8 * i)));
  }
  void text(const std::string &value)
  {
    number(static_cast<uint32_t>(value.size() + 1), 4);
    octets.insert(octets.end(), value.begin(), value.end());
    octets.push_back(0);
  }
};

struct Unpacker
{
  const Octets &octets;
  size_t at = 4;
  uint32_t number(size_t width)
  {
    while ((at - 4) % width)
      at++;
    uint32_t value = 0;
    for (size_t i = 0; i < width; i++)
      value |= static_cast<uint32_t>(octets.at(at++)) << (8 * i);
    return value;
  }
  std::string text()
  {
    const uint32_t size = number(4);
    std::string value(octets.begin() + at, octets.begin() + at + size - 1);
    at += size;
    return value;
  }
};

static void show_mask(const Octets &octets)
{
  Unpacker in{octets};
  const uint32_t sec = in.number(4), nanosec = in.number(4);
  const std::string frame_id = in.text();
  const uint32_t height = in.number(4), width = in.number(4);
  const std::string encoding = in.text();
  in.number(1);
  const uint32_t step = in.number(4), size = in.number(4);
  uint32_t sum = 0;
  for (uint32_t i = 0; i < size; i++)
    sum += octets.at(in.at + i) * (i % 251 + 1);
  std::printf("mask %u %u %s %s %u %u %u %u\n", sec, nanosec, frame_id.c_str(), encoding.c_str(), width, height, step, sum);
  std::fflush(stdout);
}

static void show_info(const Octets &octets)
{
  Unpacker in{octets};
  in.number(4), in.number(4), in.text();
  std::printf("info ");
  for (uint32_t left = in.number(4); left; left--)
  {
    const uint32_t id = in.number(2);
    std::printf("%u=%s,", id, in.text().c_str());
  }
  std::printf("\n");
  std::fflush(stdout);
}

static void show(DataReader *reader, void (*print)(const Octets &))
{
  Octets octets;
  SampleInfo info;
  while (reader->take_next_sample(&octets, &info) == ReturnCode_t::RETCODE_OK)
    if (info.valid_data)
      print(octets);
}

int main(int argc, char **argv)
{
  if (argc != 6)
    return 2;
  const int width = std::atoi(argv[3]), height = std::atoi(argv[4]);
  std::ifstream file(argv[2], std::ios::binary);
  Octets pixels{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (pixels.size() != static_cast<size_t>(width) * height * 3)
    return 3;

  DomainParticipantQos qos;
  auto udp = std::make_shared<eprosima::fastdds::rtps::UDPv4TransportDescriptor>();
  udp->interfaceWhiteList.push_back("127.0.0.1");
  udp->receiveBufferSize = udp->sendBufferSize = 4 << 20;
  qos.transport().use_builtin_transports = false;
  qos.transport().user_transports.push_back(udp);
  qos.name("fast_peer");
  eprosima::fastrtps::rtps::Locator_t local;
  eprosima::fastrtps::rtps::IPLocator::setIPv4(local, 127, 0, 0, 1);
  qos.wire_protocol().builtin.initialPeersList.push_back(local);
  DomainParticipant *participant =
    DomainParticipantFactory::get_instance()->create_participant(std::atoi(argv[1]), qos);
  if (!participant)
    return 4;
  TypeSupport image(new Serialized("sensor_msgs::msg::dds_::Image_", 4 << 20));
  TypeSupport info(new Serialized("vision_msgs::msg::dds_::LabelInfo_", 1 << 20));
  image.register_type(participant);
  info.register_type(participant);
  auto topic = [&](const char *name, TypeSupport &type) {
    return participant->create_topic(name, type.get_type_name(), TOPIC_QOS_DEFAULT);
  };
  DataWriterQos camera;
  camera.reliability().kind = RELIABLE_RELIABILITY_QOS;
  camera.history().depth = 1;
  camera.endpoint().history_memory_policy = eprosima::fastrtps::rtps::PREALLOCATED_WITH_REALLOC_MEMORY_MODE;
  camera.publish_mode().kind = ASYNCHRONOUS_PUBLISH_MODE;
  DataReaderQos sensor;
  sensor.reliability().kind = BEST_EFFORT_RELIABILITY_QOS;
  sensor.history().depth = 8;
  sensor.endpoint().history_memory_policy = eprosima::fastrtps::rtps::PREALLOCATED_WITH_REALLOC_MEMORY_MODE;
  DataReaderQos latched = sensor;
  latched.reliability().kind = RELIABLE_RELIABILITY_QOS;
  latched.durability().kind = TRANSIENT_LOCAL_DURABILITY_QOS;
  DataWriter *images = participant->create_publisher(PUBLISHER_QOS_DEFAULT)
                         ->create_datawriter(topic("rt/camera/image_raw", image), camera);
  Subscriber *subscriber = participant->create_subscriber(SUBSCRIBER_QOS_DEFAULT);
  DataReader *masks = subscriber->create_datareader(topic("rt/segmentation/mask", image), sensor);
  DataReader *infos = subscriber->create_datareader(topic("rt/segmentation/label_info", info), latched);
  if (!images || !masks || !infos)
    return 4;

  const auto pause = [](int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); };
  PublicationMatchedStatus matched;
  for (int tries = 0; tries < 600 && matched.current_count == 0; tries++)
  {
    pause(100);
    images->get_publication_matched_status(matched);
  }
  if (matched.current_count == 0)
    return 5;
  for (int frame = 0; frame < std::atoi(argv[5]); frame++)
  {
    pixels[pixels.size() - 3] = static_cast<uint8_t>(frame);
    Packer out;
    out.number(1700000000 + frame, 4);
    out.number(999999999u - frame, 4);
    out.text("fast_camera");
    out.number(height, 4);
    out.number(width, 4);
    out.text("rgb8");
    out.number(0, 1);
    out.number(width * 3, 4);
    out.number(static_cast<uint32_t>(pixels.size()), 4);
    out.octets.insert(out.octets.end(), pixels.begin(), pixels.end());
    if (!images->write(&out.octets))
      return 6;
    for (int wait = 0; wait < 20; wait++)
      pause(10), show(masks, show_mask), show(infos, show_info);
  }
  for (int wait = 0; wait < 100; wait++)
    pause(10), show(masks, show_mask), show(infos, show_info);
  return 0;
}
