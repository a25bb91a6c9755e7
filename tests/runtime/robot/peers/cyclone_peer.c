/* A camera and a consumer over Cyclone DDS 0.10, as rmw_cyclonedds is one: QoS, names, types without type information.

   cyclone_peer DOMAIN RGB WIDTH HEIGHT FRAMES: publishes FRAMES images of the file RGB, the last pixel's red being the
   frame's number, and prints what comes back:
     mask SEC NANOSEC FRAME_ID ENCODING WIDTH HEIGHT STEP SUM       SUM: of data[i] * (i % 251 + 1), modulo 2^32
     info ID=NAME,ID=NAME,... */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "dds/dds.h"
#include "ros.h"

static uint32_t sum_of(const uint8_t *data, uint32_t size)
{
  uint32_t sum = 0;
  for (uint32_t i = 0; i < size; i++)
    sum += data[i] * (i % 251 + 1);
  return sum;
}

static dds_qos_t *qos_of(int reliable, int latched)
{
  dds_qos_t *qos = dds_create_qos();
  dds_qset_reliability(qos, reliable ? DDS_RELIABILITY_RELIABLE : DDS_RELIABILITY_BEST_EFFORT, DDS_SECS(1));
  dds_qset_durability(qos, latched ? DDS_DURABILITY_TRANSIENT_LOCAL : DDS_DURABILITY_VOLATILE);
  dds_qset_history(qos, DDS_HISTORY_KEEP_LAST, 8);
  return qos;
}

static dds_entity_t topic_of(dds_entity_t participant, const dds_topic_descriptor_t *type, const char *name)
{
  return dds_create_topic(participant, type, name, NULL, NULL);
}

static void show_masks(dds_entity_t reader)
{
  void *samples[1] = {NULL};
  dds_sample_info_t info[1];
  while (dds_take(reader, samples, info, 1, 1) > 0)
  {
    if (info[0].valid_data)
    {
      sensor_msgs_msg_dds__Image_ *m = samples[0];
      printf("mask %d %u %s %s %u %u %u %u\n", m->header.stamp.sec, m->header.stamp.nanosec, m->header.frame_id,
             m->encoding, m->width, m->height, m->step, sum_of(m->data._buffer, m->data._length));
      fflush(stdout);
    }
    dds_return_loan(reader, samples, 1);
  }
}

static void show_infos(dds_entity_t reader)
{
  void *samples[1] = {NULL};
  dds_sample_info_t info[1];
  while (dds_take(reader, samples, info, 1, 1) > 0)
  {
    if (info[0].valid_data)
    {
      vision_msgs_msg_dds__LabelInfo_ *m = samples[0];
      printf("info ");
      for (uint32_t i = 0; i < m->class_map._length; i++)
        printf("%u=%s,", m->class_map._buffer[i].class_id, m->class_map._buffer[i].class_name);
      printf("\n");
      fflush(stdout);
    }
    dds_return_loan(reader, samples, 1);
  }
}

int main(int argc, char **argv)
{
  if (argc != 6)
    return 2;
  const uint32_t width = (uint32_t)atoi(argv[3]), height = (uint32_t)atoi(argv[4]), size = width * height * 3;
  uint8_t *pixels = malloc(size);
  FILE *file = fopen(argv[2], "rb");
  if (!file || fread(pixels, 1, size, file) != size)
    return 3;
  fclose(file);

  dds_entity_t participant = dds_create_participant((dds_domainid_t)atoi(argv[1]), NULL, NULL);
  dds_entity_t images = dds_create_writer(
    participant, topic_of(participant, &sensor_msgs_msg_dds__Image__desc, "rt/camera/image_raw"), qos_of(1, 0), NULL);
  dds_entity_t masks = dds_create_reader(
    participant, topic_of(participant, &sensor_msgs_msg_dds__Image__desc, "rt/segmentation/mask"), qos_of(0, 0), NULL);
  dds_entity_t infos = dds_create_reader(
    participant, topic_of(participant, &vision_msgs_msg_dds__LabelInfo__desc, "rt/segmentation/label_info"),
    qos_of(1, 1), NULL);
  if (participant < 0 || images < 0 || masks < 0 || infos < 0)
    return 4;

  dds_publication_matched_status_t matched = {0};
  for (int tries = 0; tries < 600 && matched.current_count == 0; tries++)
  {
    dds_sleepfor(DDS_MSECS(100));
    dds_get_publication_matched_status(images, &matched);
  }
  if (matched.current_count == 0)
    return 5;
  for (int frame = 0; frame < atoi(argv[5]); frame++)
  {
    pixels[size - 3] = (uint8_t)frame;
    sensor_msgs_msg_dds__Image_ image = {
      .header = {.stamp = {.sec = 1700000000 + frame, .nanosec = 999999999u - (uint32_t)frame},
                 .frame_id = "cyclone_camera"},
      .height = height, .width = width, .encoding = "rgb8", .is_bigendian = 0, .step = width * 3,
      .data = {._maximum = size, ._length = size, ._buffer = pixels, ._release = false}};
    if (dds_write(images, &image) < 0)
      return 6;
    for (int wait = 0; wait < 20; wait++)
    {
      dds_sleepfor(DDS_MSECS(10));
      show_masks(masks);
      show_infos(infos);
    }
  }
  for (int wait = 0; wait < 100; wait++)
  {
    dds_sleepfor(DDS_MSECS(10));
    show_masks(masks);
    show_infos(infos);
  }
  dds_delete(participant);
  return 0;
}
