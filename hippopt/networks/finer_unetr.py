"""A UNETR with tokens of 8 voxels in place of 16: MONAI's transformer and MONAI's own blocks, one level less."""

from torch import Tensor, nn

from hippopt.artifacts.plan import LAYERS, NetworkSettings
from hippopt.artifacts.triples import Voxels

TOKEN = 8
# transformer blocks after which features leave for the decoder's skips; the UNETR of 16 voxels has three
SKIPS = (
    4,
    8,
)


class FinerUNETR(nn.Module):
    """MONAI's UNETR without its lowest level, so that the token grid is the decoder's deepest image.

    Parameters are named as in MONAI's UNETR: `vit.`, `encoder1` to `encoder3` (at the full, half and quarter
    resolution), `decoder4` to `decoder2`, `out.`. Each stands at the resolution of its namesake; the lowest skip and
    the lowest decoder block of MONAI's (`encoder4`, `decoder5`) have none here.

    Args:
        in_channels: channels of the image.
        out_channels: classes.
        patch_size: (Z, Y, X) voxels, multiples of 8.
        network: sizes.
    """

    def __init__(self, in_channels: int, out_channels: int, patch_size: Voxels, network: NetworkSettings) -> None:
        from monai.networks.blocks.dynunet_block import UnetOutBlock
        from monai.networks.blocks.unetr_block import UnetrBasicBlock, UnetrPrUpBlock, UnetrUpBlock
        from monai.networks.nets.vit import ViT

        super().__init__()
        hidden, features = network.hidden_size, network.feature_size
        self.grid = tuple(size // TOKEN for size in patch_size)
        self.vit = ViT(
            in_channels=in_channels,
            img_size=patch_size,
            patch_size=(TOKEN,) * 3,
            hidden_size=hidden,
            mlp_dim=network.mlp_dim,
            num_layers=LAYERS,
            num_heads=network.num_heads,
            proj_type="conv",
            dropout_rate=0.0,
        )

        def skip(channels: int, doublings: int) -> nn.Module:
            return UnetrPrUpBlock(
                3,
                hidden,
                channels,
                num_layer=doublings - 1,
                kernel_size=3,
                stride=1,
                upsample_kernel_size=2,
                norm_name="instance",
                conv_block=True,
                res_block=True,
            )

        def up(below: int, channels: int) -> nn.Module:
            return UnetrUpBlock(
                3, below, channels, kernel_size=3, upsample_kernel_size=2, norm_name="instance", res_block=True
            )

        self.encoder1 = UnetrBasicBlock(
            3, in_channels, features, kernel_size=3, stride=1, norm_name="instance", res_block=True
        )
        self.encoder2 = skip(2 * features, doublings=2)
        self.encoder3 = skip(4 * features, doublings=1)
        self.decoder4 = up(hidden, 4 * features)
        self.decoder3 = up(4 * features, 2 * features)
        self.decoder2 = up(2 * features, features)
        self.out = UnetOutBlock(3, features, out_channels)

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, Z, Y, X) -> logits (B, classes, Z, Y, X)."""
        last, after_blocks = self.vit(image)
        first, second = (self._as_image(after_blocks[count - 1]) for count in SKIPS)
        quarter = self.decoder4(self._as_image(last), self.encoder3(second))
        half = self.decoder3(quarter, self.encoder2(first))
        return self.out(self.decoder2(half, self.encoder1(image)))

    def _as_image(self, tokens: Tensor) -> Tensor:
        """(B, tokens, hidden) -> (B, hidden, Z, Y, X) of the token grid."""
        return tokens.transpose(1, 2).unflatten(2, self.grid).contiguous()
